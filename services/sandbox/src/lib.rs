//! Stand-ins for Toss Payments and FCM on loopback; never deployed.
