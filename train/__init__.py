"""Pretraining on shards. Sees schemas and mimic.shards only."""
