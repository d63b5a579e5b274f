// Package audit says what an audit event is, and is what an application
// imports to make one. It needs nothing but the standard library.
//
// There are four kinds of event: an [AuditLog] is who did what to which object,
// a [LoginAttempt] one attempt to sign in, a [DataExport] one export of data and
// a [SystemEvent] an error, a warning or anything else that somebody may have to
// look at. Their fields stand in one table, [Kind.Fields], which parser, storage
// and pages follow.
//
// All four have one common form, the [Event], in which they are checked
// ([Event.Normalize]), freed of secrets ([Masker.Mask]), written as a line of
// NDJSON ([AppendJSON]) and read again ([DecodeEvent]):
//
//	e, err := (&audit.AuditLog{
//		Timestamp:   time.Now(),
//		Username:    "alice",
//		Action:      "UPDATE",
//		ContentType: "shop.order",
//		ObjectID:    "42",
//		Changes:     audit.Changes{"total": {Old: "10.00", New: "12.50"}},
//	}).Event()
package audit
