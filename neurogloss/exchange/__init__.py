"""Data sets out and in (Parquet, the JSON of Bills et al. 2023, Neuronpedia), and questions and answers as files."""
