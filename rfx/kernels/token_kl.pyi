"""Divergences per token and sums over sequences, C level only: see token_kl.pxd."""
