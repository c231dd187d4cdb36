// Starts `engine lsp` for .route files; everything else is said by the server.
const { workspace } = require("vscode");
const { LanguageClient } = require("vscode-languageclient/node");

let client;

exports.activate = () => {
  const [command, ...args] = workspace.getConfiguration("route").get("server");
  client = new LanguageClient(
    "route",
    "Route policies",
    { command, args },
    {
      documentSelector: [{ scheme: "file", language: "route" }],
      synchronize: {
        fileEvents: workspace.createFileSystemWatcher("**/{*.route,models.yaml,policies.yaml}"),
      },
    },
  );
  return client.start();
};

exports.deactivate = () => client && client.stop();
