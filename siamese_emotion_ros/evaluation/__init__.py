"""How good is a model with a gallery? Metrics, data-set evaluation, retrieval, and reports of all that."""
