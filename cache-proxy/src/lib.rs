//! The proxy: routes Redis commands to cache nodes by the health service's view.
