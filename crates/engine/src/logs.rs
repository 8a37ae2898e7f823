//! Reading a container's json-file log: from the end, over rotated files, since and until, and following it.
//! A torn record (power cut, full disk) is skipped, never fatal.
