//! Speaks the distribution protocol: registry references become stored blobs, and sealed images become pushed ones.
