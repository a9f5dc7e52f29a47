"""What the stages hand on: schema, reading, writing; one module per artifact."""
