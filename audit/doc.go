// Package audit records what an application does: who did what to which object,
// who signed in, who exported what, and what went wrong. It is what a Go program
// imports to fill the database that auditadmin shows, and needs nothing but the
// standard library. An audited application is ten lines more than another:
//
//	db, err := auditdb.Open(ctx, path)
//	if err != nil {
//		return err
//	}
//	defer db.Close()
//	recorder, err := audit.New(db, audit.SpoolDir(path+".spool"))
//	if err != nil {
//		return err
//	}
//	defer recorder.Close(ctx)
//	handler := audit.Middleware(recorder)(mux)
//
// From there on every request has an id, slow ones, panics and errors are
// recorded, and whatever the application says is put beside them:
//
//	audit.SetUser(q.Context(), audit.User{ID: "7", Name: "alice"})
//	err := recorder.LogAuditEvent(q.Context(), audit.AuditLog{Action: "UPDATE",
//		ContentType: "shop.order", ObjectID: "42", Changes: audit.Diff(before, after)})
//
// # Recording
//
// [New] makes a [Recorder] for a [Sink]: a database file (package
// audit/auditdb), a server ([NewRemote]), or anything else that stores events.
// Everything goes through [Recorder.Record], which fills in what the context
// knows ([SetUser], [WithUser], [WithSource], [OnBehalfOf], [WithReason]), leaves
// out what the options skip, and masks secrets before anything is stored, spooled
// or logged. While the sink is away events wait in a spool on disk; with [Strict]
// the call fails instead. Nothing is dropped silently: see [Stats].
//
// [Recorder.RecordTx] and [Track] record what a transaction did if and only if
// it is committed; package audit/gormaudit does so for every write through GORM,
// and triggers of package audit/sqltrack for every writer there is.
// [Recorder.Export], [Recorder.ViewHandler], [Recorder.DownloadHandler],
// [Recorder.LoginSucceeded] and [Recorder.SlogHandler] are for exports, views,
// downloads, sign-ins and errors in the log; [SecurityMiddleware] is for attacks.
//
// # Events
//
// There are four kinds of event: an [AuditLog] is who did what to which object,
// a [LoginAttempt] one attempt to sign in, a [DataExport] one export of data and
// a [SystemEvent] an error, a warning or anything else that somebody may have to
// look at. Their fields stand in one table, [Kind.Fields], which parser, storage
// and pages follow.
//
// All four have one common form, the [Event], in which they are checked
// ([Event.Normalize]), freed of secrets ([Masker.Mask]), written as a line of
// NDJSON ([AppendJSON]) and read again ([DecodeEvent]).
package audit
