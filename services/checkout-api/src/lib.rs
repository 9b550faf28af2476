//! The storefront's API: orders, confirm, pages; the relay and the reconciler.
