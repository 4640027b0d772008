"""A backend that answers through the CePO sidecar, and through Cerebras itself while the sidecar cannot."""
