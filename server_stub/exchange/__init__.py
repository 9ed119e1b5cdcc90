"""The exchange: our FTP service, where partners deliver and fetch files in agreed folders."""
