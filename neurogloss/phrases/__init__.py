"""What phrases say of tokens: the bank, quoted words, profiles."""
