package db

import (
	"encoding/json"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/evidence"
)

// isDownload reports whether an audit log says that somebody downloaded what an
// export left: EXPORT on the data_export of that event_id, as the recorder's
// DownloadHandler writes it.
func isDownload(e *audit.Event) bool {
	if e.Kind != audit.KindAuditLog || e.Get("action") != "EXPORT" || e.Get("content_type") != string(audit.KindDataExport) || e.Get("object_id") == "" {
		return false
	}
	var metadata struct{ Download bool }
	return json.Unmarshal([]byte(e.Get("metadata")), &metadata) == nil && metadata.Download
}

// downloaded counts a download with the export it names, by an entry in the
// ledger: the export's own event states what it was, and stays as it is. An
// export that is not known here has no count.
func (tx *writeTx) downloaded(e *audit.Event) error {
	var ids []int64
	if err := tx.SelectContext(tx.ctx, &ids, "SELECT id FROM data_export WHERE event_id = ?", e.Get("object_id")); err != nil {
		return err
	}
	for _, id := range ids {
		var count int64
		if err := tx.GetContext(tx.ctx, &count, "UPDATE data_export SET download_count = coalesce(download_count, 0) + 1 WHERE id = ? RETURNING download_count", id); err != nil {
			return err
		}
		if err := tx.decide(evidence.Downloaded, audit.KindDataExport, id, e.Get("username"), "", stateSubject(audit.KindDataExport, decimal(count))); err != nil {
			return err
		}
	}
	return nil
}
