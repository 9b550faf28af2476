//! Events out and push requests in: topology, relay, embedded broker, push extractor.
