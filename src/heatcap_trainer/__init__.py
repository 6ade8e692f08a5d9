"""Trains small transformers and records their attention logits."""
