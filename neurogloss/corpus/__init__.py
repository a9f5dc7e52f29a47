"""Text: documents, windows, splits."""
