//! The Redis wire protocol: request and reply scanners and an encoder.
