//! Creates or updates topics and push subscriptions on Google Cloud Pub/Sub, from the topology table.
