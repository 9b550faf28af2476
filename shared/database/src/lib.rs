//! Rows and domain values: every SQL statement of the project.
