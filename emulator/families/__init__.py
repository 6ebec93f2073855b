"""The bodies that InvokeModel takes and gives: one dialect per family of models."""
