//! The push sender port over FCM HTTP v1.
