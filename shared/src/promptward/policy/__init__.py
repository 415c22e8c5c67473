"""The policy: its model, decoding, schema, lint and compilation."""
