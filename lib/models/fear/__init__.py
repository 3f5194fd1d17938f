"""FEAR, and IIMF lite on its trunk."""
