"""Pages of the workbench: one file each, a document from the store."""
