"""The one package that touches C: the cffi module over csrc/, and its errors."""
