// Stands in for the scripts of Firebase's service worker. The sandbox shows its notifications on a page of its own.
self.firebase = { initializeApp: () => ({}), messaging: () => ({ onBackgroundMessage: () => {} }) };
