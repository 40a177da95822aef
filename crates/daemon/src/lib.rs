//! What every FastCache process does alike: settings, logging, shutdown, admin endpoints.
