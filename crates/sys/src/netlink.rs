//! rtnetlink and nfnetlink messages and sockets.
