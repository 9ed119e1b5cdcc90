"""Web pages for the operator's staff: what needs somebody, who may do what, and every hand on the business in a log."""
