import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { createRoot } from "react-dom/client";
import { cache } from "./api/cache";
import { router } from "./router";
import "./styles/index.css";

const place = document.getElementById("root");
if (place) {
  createRoot(place).render(
    <QueryClientProvider client={cache}>
      <RouterProvider router={router} />
    </QueryClientProvider>,
  );
}
