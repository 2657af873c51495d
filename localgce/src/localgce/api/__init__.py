"""One file per resource; each public function is the API's method of that name."""
