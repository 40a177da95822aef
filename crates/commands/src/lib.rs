//! One declarative table of the commands of Redis and Valkey.
