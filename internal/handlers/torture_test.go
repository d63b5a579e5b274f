package handlers

import "os"

// long is set for the form of these tests that takes minutes: more of everything
// that a quick run samples.
var long = os.Getenv("AUDITADMIN_TORTURE") != ""
