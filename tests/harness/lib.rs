//! The test harness: a shop on a database of its own, whose queues the test drives.
