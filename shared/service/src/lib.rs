//! What every binary needs: settings, telemetry, serving with limits, health, problem+json.
