package storage

import (
	"database/sql/driver"

	"modernc.org/sqlite"

	"postroom/post"
)

// fold(text) is post.FoldText for SQL. trusted_schema is off, so no view or
// trigger of a doctored file can call it.
func init() {
	sqlite.MustRegisterDeterministicScalarFunction("fold", 1, func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
		s, _ := args[0].(string)
		return post.FoldText(s), nil
	})
}
