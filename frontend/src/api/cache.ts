import { QueryClient } from "@tanstack/react-query";
import { ApiError } from "./client";

/** What the server has answered, for every page. */
export const cache = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 30_000,
      refetchOnWindowFocus: false,
      retry: (count, error) => count < 2 && !(error instanceof ApiError && error.status < 500),
    },
  },
});
