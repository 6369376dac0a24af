"""Pictures and videos of a result, drawn without a browser."""
