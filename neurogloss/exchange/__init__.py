"""The result as a data set for others: Parquet with a card, the JSON formats of Bills et al. 2023, and back."""
