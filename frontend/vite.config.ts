import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

const api = process.env.SAESCOPE_API ?? "http://127.0.0.1:8420";

export default defineConfig({
  plugins: [react()],
  build: {
    outDir: "../src/saescope/web/static",
    emptyOutDir: true,
    manifest: true,
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0, // the content security policy allows no data: scripts or fonts
    reportCompressedSize: false,
    target: "es2022",
  },
  server: { proxy: { "/api": api } },
  test: { environment: "jsdom", include: ["test/**/*.test.{ts,tsx}"] },
});
