// Stands in for Firebase's app module.
export const initializeApp = (config) => {
  for (const name of ["apiKey", "projectId", "messagingSenderId", "appId"]) {
    if (!config[name]) throw new Error(`Missing App configuration value: "${name}"`);
  }
  return { config };
};
