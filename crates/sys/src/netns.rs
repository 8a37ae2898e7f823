//! Making and entering network namespaces from a thread of its own.
