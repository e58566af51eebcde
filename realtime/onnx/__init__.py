"""ONNX Runtime through its C interface, and the contract between the host and a model file."""
