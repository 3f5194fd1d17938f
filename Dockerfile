# The toolbox in a container. Not built where it was written: no Docker daemon was available.
#
#   docker build -t rgbt .                                        on Ubuntu; PyTorch as the registry has it (CUDA)
#   docker build -t rgbt:cuda --build-arg BASE=nvidia/cuda:12.6.3-runtime-ubuntu24.04 .
#   docker build -t rgbt:cpu --build-arg TORCH_INDEX=<the index of CPU builds that PyTorch's install page names> .
#
#   docker run --rm -v "$PWD/output:/toolbox/output" rgbt                             the demo
#   docker run --rm --gpus all --shm-size=8g -v /data:/data rgbt:cuda python tracking/test.py iimf_track tiny \
#       --dataset_name folder --data_dir /data/videos
ARG BASE=ubuntu:24.04
FROM ${BASE}

# Where PyTorch comes from instead of the usual registry: smaller images for CPUs alone.
ARG TORCH_INDEX=

# Debian calls TurboJPEG's library libturbojpeg0, Ubuntu libturbojpeg.
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 python3-venv libgl1 libglib2.0-0 \
    && (apt-get install -y --no-install-recommends libturbojpeg0 || apt-get install -y --no-install-recommends libturbojpeg) \
    && rm -rf /var/lib/apt/lists/*

ENV PATH=/opt/venv/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python3 -m venv /opt/venv

WORKDIR /toolbox
COPY constraints.txt ./
RUN pip install torch torchvision ${TORCH_INDEX:+--index-url ${TORCH_INDEX}} -c constraints.txt

COPY . .
RUN pip install -e ".[export,lmdb]" -c constraints.txt \
    && python tracking/create_default_local_file.py --workspace_dir . --data_dir /data --save_dir ./output

CMD ["python", "tracking/video_demo.py", "--sequence", "docs/demo_sequence", "--out", "output/demo"]
