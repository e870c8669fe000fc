"""The `siamese-emotion` command: train, evaluate, build galleries, look at artifacts, measure speed."""
